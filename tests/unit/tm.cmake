# The taskmanager's: supervisor, data plane.
unit_test(supervisor_test tm_supervisor)
