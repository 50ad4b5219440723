"""Sound without speech by Demucs, in bounded memory (paper section 3.4, variant 4, and appendix D)."""
