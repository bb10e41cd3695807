"""The vendor's file of compiled networks: reading it, writing it, and putting many into one."""
