"""An integrator's own app, as ROBOT_APPS brings it in; its functions are good, bad and hostile."""
