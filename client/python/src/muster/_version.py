"""The version of Muster that this client belongs to: that of CMakeLists.txt."""
__version__ = "0.1.0"
