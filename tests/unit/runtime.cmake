# The worker's pure heart: buffers, channels, elements, watermarks, alignment, state, windows, tasks, jobs in one thread.
unit_test(shuffle_test worker_shuffle)
unit_test(shuffle_stress_test worker_shuffle)
unit_test(watermark_test worker_watermark)
unit_test(input_gate_test worker_task)
unit_test(state_test worker_state)
unit_test(window_test worker_windowing)
unit_test(task_test worker_task)
unit_test(job_runtime_test worker_task)
