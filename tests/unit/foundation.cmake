# common/base, common/config, common/rpc, common/storage, common/sys
unit_test(base_test weir_base Threads::Threads)
unit_test(config_test weir_config)
target_compile_definitions(config_test PRIVATE SOURCE_DIR="${CMAKE_SOURCE_DIR}")
unit_test(rpc_test weir_rpc)
unit_test(storage_test weir_storage)
unit_test(sys_test weir_sys ${CMAKE_DL_LIBS})
# What crashes is compiled as a user's job would be: with -g, without sanitizers' checks.
add_library(sys_crash SHARED ${CMAKE_CURRENT_LIST_DIR}/sys_crash_library.c)
target_compile_options(sys_crash PRIVATE -g -O1 -fno-sanitize=all -Wno-infinite-recursion)
target_compile_definitions(sys_test PRIVATE SOURCE_DIR="${CMAKE_SOURCE_DIR}" CRASH_LIBRARY="$<TARGET_FILE:sys_crash>")
add_dependencies(sys_test sys_crash)
