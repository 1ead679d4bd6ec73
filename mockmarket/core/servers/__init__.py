"""The two web servers, both with bounded buffers, small frames and pings. Which one: ADR 0030."""
