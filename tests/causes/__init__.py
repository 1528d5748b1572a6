"""The labelled corpus of failures, and how well their causes are told: see `corpus`."""
