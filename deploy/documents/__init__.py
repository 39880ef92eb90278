"""Documents about the whole house, made from the code of all services.

They stand here and not in `shared`, because they read every service's routes, and nothing in `shared` may know a
service. Nothing imports this folder but its tests.
"""
