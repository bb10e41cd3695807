"""The vendor's file of compiled networks, read without the vendor's libraries."""
