"""A brute-force oracle of the counting rules, straight from the text, sharing no code with the product.

`oracle.count` takes a funnel definition and a log and evaluates the histories declaratively; slow and obvious. It may
import neither `schemas` nor `streams`: two implementations that agree are worth something only if they are two.
"""
