"""What visits: a person or a machine, of which country, with which device. Pure."""
