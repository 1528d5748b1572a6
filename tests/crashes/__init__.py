"""Kill the processes of the service again and again, and check from outside what it promised.

Every id answered with 200 is, after any crash or outage, either finished with its logs saved, or
still tracked; nothing is done twice.
"""
