# Jobs: shared objects build/examples/<name>.so that link with libweir only.
find_path(JSMN_INCLUDE_DIR jsmn.h REQUIRED) # Debian: libjsmn-dev

# JSON and dates of the click event records; for the job, the generator and the auditor.
add_library(click_event STATIC ${CMAKE_CURRENT_SOURCE_DIR}/click_event.c ${CMAKE_CURRENT_SOURCE_DIR}/click_date.c)
target_link_libraries(click_event PUBLIC weir_options)
target_include_directories(click_event SYSTEM PRIVATE ${JSMN_INCLUDE_DIR})
set_target_properties(click_event PROPERTIES C_VISIBILITY_PRESET hidden)

weir_job(click_event_count examples ${CMAKE_CURRENT_SOURCE_DIR}/click_event_count.c)
target_link_libraries(click_event_count PRIVATE click_event)
weir_job(sequence_sum examples ${CMAKE_CURRENT_SOURCE_DIR}/sequence_sum.c)
