# The taskmanager's: supervisor, data plane.
unit_test(supervisor_test tm_supervisor)
if(TARGET worker_network)
  unit_test(frame_test worker_network)
  unit_test(network_test worker_network)
endif()
if(TARGET tm_shell)
  unit_test(tm_shell_test tm_shell)
endif()
