# common/base, common/config, common/rpc, common/storage, common/sys
unit_test(rpc_test weir_rpc)
