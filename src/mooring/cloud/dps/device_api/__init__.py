"""The device API: what devices ask of DPS, whatever they ask it over; and HTTPS."""
