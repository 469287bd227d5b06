"""An integrator's own app, as small as one can be: named in ROBOT_APPS, found by its robot_handlers.py."""
