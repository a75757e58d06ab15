#!/usr/bin/env python3
"""Unit tests of the Python client, without a cluster.

usage: run.py [-v]      with MUSTER_INSTALLED set: of the installed package
"""
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "testing")]
import scratch  # noqa: E402,F401

if __name__ == "__main__":
    suite = unittest.defaultTestLoader.discover(str(HERE), pattern="*_test.py", top_level_dir=str(HERE))
    found = suite.countTestCases()
    assert found > 60, f"only {found} tests were found"
    sys.exit(not unittest.TextTestRunner(verbosity=2 if "-v" in sys.argv else 1).run(suite).wasSuccessful())
