"""Whole numbers on the command lines of the Python programs of benchmarks/."""
import argparse


def at_least(least):
    """The type of an argparse option whose value is a whole number not below `least`."""

    def read(text):
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} on")
        return int(text)

    return read
