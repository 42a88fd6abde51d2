"""Where the numbers in the README come from: peers side by side in one run, on your own machine."""
