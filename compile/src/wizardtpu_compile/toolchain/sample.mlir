// The network that proves a toolchain: LayerNorm, a product with 4-bit weights, attention with one K/V head, lowered
// as the compiler wants it. FLOAT stands for the type of floats, MODE for the same in capitals.
module @sample attributes {module.FLOPs = 0 : i64, module.addr_mode = "io_alone", module.asymmetric = false, module.chip = "bm1684x", module.cores = 1 : i64, module.devices = 1 : i64, module.high_precision = false, module.mode = "W4MODE", module.platform = "LLM", module.q_group_size = 64 : i64, module.q_symmetric = false, module.state = "TPU_LOWERED", module.top_run_mode = "STATIC", module.weight_file = "sample.npz"} {
  func.func @main(%a: tensor<1x8x128xFLOAT>, %b: tensor<1x1x8x64xFLOAT>, %c: tensor<1x64x1x32xFLOAT>, %d: tensor<1x64x1x32xFLOAT>) -> tensor<1x8x128xFLOAT> {
    %none = "top.None"() : () -> none loc(unknown)
    %hidden = "top.Input"(%a) {do_preprocess = false} : (tensor<1x8x128xFLOAT>) -> tensor<1x8x128xFLOAT> loc("hidden")
    %mask = "top.Input"(%b) {do_preprocess = false} : (tensor<1x1x8x64xFLOAT>) -> tensor<1x1x8x64xFLOAT> loc("mask")
    %k = "top.Input"(%c) {do_preprocess = false} : (tensor<1x64x1x32xFLOAT>) -> tensor<1x64x1x32xFLOAT> loc("k")
    %v = "top.Input"(%d) {do_preprocess = false} : (tensor<1x64x1x32xFLOAT>) -> tensor<1x64x1x32xFLOAT> loc("v")
    %gain = "top.Weight"() : () -> tensor<1x1x128xFLOAT> loc("gain")
    %shift = "top.Weight"() : () -> tensor<1x1x128xFLOAT> loc("shift")
    %norm = "tpu.LayerNorm"(%hidden, %gain, %shift, %none, %none) {axis = 2 : si32, eps = 1.0e-05 : f64, normalized_shape = [128]} : (tensor<1x8x128xFLOAT>, tensor<1x1x128xFLOAT>, tensor<1x1x128xFLOAT>, none, none) -> tensor<1x8x128xFLOAT> loc("norm")
    %weight = "top.Weight"() : () -> tensor<128x64xui8> loc("weight")
    %scale = "top.Weight"() : () -> tensor<128x2xFLOAT> loc("scale")
    %zero = "top.Weight"() : () -> tensor<128x2xui8> loc("zero")
    %bias = "top.Weight"() : () -> tensor<1x1x128xFLOAT> loc("bias")
    %query = "tpu.A16MatMul"(%norm, %weight, %scale, %zero, %bias) {dq_type = "NONE", q_group_size = 64 : i64, sign = true, w_transpose = true, weight_bits = 4 : i64} : (tensor<1x8x128xFLOAT>, tensor<128x64xui8>, tensor<128x2xFLOAT>, tensor<128x2xui8>, tensor<1x1x128xFLOAT>) -> tensor<1x8x128xFLOAT> loc("query")
    %heads = "tpu.Reshape"(%query) {flatten_start_dim = -1 : i64, shape = [1, -1, 4, 32]} : (tensor<1x8x128xFLOAT>) -> tensor<1x8x4x32xFLOAT> loc("heads")
    %attended = "tpu.FAttention"(%heads, %k, %v, %mask, %none) {batch = 1 : i64, dim = 32 : i64, keep_dims = false, kv_head = 1 : i64, mask_size = 0 : si32, mk = 64 : i64, mq = 8 : i64, q_head = 4 : i64, scale = 0.17677669529663687 : f64} : (tensor<1x8x4x32xFLOAT>, tensor<1x64x1x32xFLOAT>, tensor<1x64x1x32xFLOAT>, tensor<1x1x8x64xFLOAT>, none) -> tensor<1x8x128xFLOAT> loc("attended")
    return %attended : tensor<1x8x128xFLOAT> loc(unknown)
  } loc(unknown)
} loc(unknown)
