"""Kill the processes of the service again and again, and check its promises from outside.

After any crash or outage, each id that was answered with 200 is either finished, with its logs
saved, or still tracked. Nothing is done twice.
"""
