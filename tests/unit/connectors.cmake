# connectors: pure logic over a Kafka in memory; librdkafka against its mock cluster.
foreach(name kafka_source kafka_source_idle kafka_sink generator_source)
  unit_test(${name}_test worker_connectors)
  target_sources(${name}_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/connectors_rig.c)
endforeach()
unit_test(librdkafka_test worker_kafka)
