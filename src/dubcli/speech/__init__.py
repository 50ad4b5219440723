"""Text in, speech out: engines that speak, and the speaker that chooses among them. Opens no container."""
