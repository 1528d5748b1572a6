"""Decode the files in which YARN aggregates logs: TFile and IFile, plain or gz."""
