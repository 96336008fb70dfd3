"""The pure core: no clock, no network, no event loop. Time is an argument, always in monotonic seconds."""
