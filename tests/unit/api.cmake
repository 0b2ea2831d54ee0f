unit_test(click_event_test click_event)
unit_test(record_test weir_api)
unit_test(stream_mistakes_test weir_api)
unit_test(stream_builder_test weir_api)
unit_test(job_graph_test weir_api)
unit_test(job_library_test weir_api)

# These load jobs from their real files.
foreach(test job_graph_test job_library_test)
  target_compile_definitions(${test} PRIVATE EXAMPLES_DIR="${CMAKE_BINARY_DIR}/examples"
                             JOBS_DIR="${CMAKE_BINARY_DIR}/tests/jobs")
endforeach()
add_dependencies(job_graph_test click_event_count)
add_dependencies(job_library_test click_event_count sequence_sum crash_job no_descriptor bad_magic other_major newer_minor
                 short_descriptor no_main no_name missing_symbol)

# Jobs may be written in C++, and compiled by either compiler, with weir.h alone.
find_program(GXX NAMES g++)
find_program(CLANGXX NAMES clang++)
foreach(compiler ${GXX} ${CLANGXX})
  if(NOT compiler)
    continue() # not on this machine
  endif()
  get_filename_component(compiler_name ${compiler} NAME)
  add_test(NAME unit/weir_header_${compiler_name}
           COMMAND ${compiler} -std=gnu++20 -fsyntax-only -Wall -Wextra -Wno-missing-field-initializers -Werror
                   -I${CMAKE_SOURCE_DIR}/include
                   ${CMAKE_CURRENT_SOURCE_DIR}/weir_header_test.cc)
endforeach()
