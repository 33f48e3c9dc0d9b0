"""Tests of ``ecscope.control.server``, one module for each of its modules."""
