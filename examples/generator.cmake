# The click event generator: a stand-alone Kafka producer, no job.
add_executable(click-event-generator ${CMAKE_CURRENT_SOURCE_DIR}/click_event_generator.c)
target_link_libraries(click-event-generator PRIVATE weir_options click_event PkgConfig::RDKAFKA m)
