"""The archive in S3: a real HTTP server that speaks S3 (moto), real processes, kills."""
