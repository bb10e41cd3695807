"""Runs bmodels on the vendor's simulator, in processes of their own.

The vendor's runtime prints to standard output and ends the process on many faults, so it is kept out of ours.
"""
