"""Control data in a relational database, through SQLAlchemy: the same models, queries and migrations on each engine.

`engine.py` alone knows one engine from another. SQLAlchemy and its records stay in here.
"""
