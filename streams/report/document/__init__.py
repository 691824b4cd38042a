"""The counters document and what every answer rests on: cells, periods, rates, intervals. Pure: no store, no clock."""
