"""CRMs, shops and payment providers: signed deliveries become events; the enricher asks for what is missing."""
