"""Models in memory: which is loaded, which has to go, and who waits. The README beside this file draws the states."""
