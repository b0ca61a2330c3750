#include "tests/support/pretend_device.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <cstdlib>

#include "base/check.h"

namespace granule {

namespace {

constexpr auto kPretend = c10::DeviceType::PrivateUse1;

// A device address is the host's with this bit set: no address that a process can have.
constexpr uintptr_t kDeviceBit = uintptr_t{1} << 54;

void* toggled(const void* address) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(address) ^ kDeviceBit);
}

struct PretendAllocator : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* memory = std::aligned_alloc(64, (bytes + 64) / 64 * 64);
    CHECK(memory != nullptr, bytes, " bytes");
    void* address = toggled(memory);
    return {address, address, &release, pretend_device()};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(toggled(to), toggled(from), bytes);
  }
  static void release(void* address) { std::free(toggled(address)); }
};

PretendAllocator& allocator() {
  static PretendAllocator allocator;
  return allocator;
}

struct PretendGuard : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kPretend; }
  c10::Device exchangeDevice(c10::Device) const override { return pretend_device(); }
  c10::Device getDevice() const override { return pretend_device(); }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override {
    return c10::Stream(c10::Stream::DEFAULT, pretend_device());
  }
  c10::Stream exchangeStream(c10::Stream) const override { return getStream(pretend_device()); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, PretendGuard)

// What the autograd engine asks an accelerator.
struct PretendHooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
};
[[maybe_unused]] const bool kHooksAreRegistered = [] {
  static PretendHooks hooks;
  at::RegisterPrivateUse1HooksInterface(&hooks);
  c10::register_privateuse1_backend("pretend");
  return true;
}();

bool is_on_pretend(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device().type() == kPretend;
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &allocator(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &allocator(),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(dtype));
}

// The same memory as a tensor of the host.
at::Tensor on_host(const at::Tensor& tensor) {
  const auto options = at::TensorOptions(at::kCPU).dtype(tensor.scalar_type());
  if (tensor.numel() == 0) return at::empty_strided(tensor.sizes(), tensor.strides(), options);
  return at::from_blob(toggled(tensor.const_data_ptr()), tensor.sizes(), tensor.strides(), options);
}

at::Tensor copied_to_device(const at::Tensor& host) {
  if (!host.defined()) return host;
  const auto device =
      at::empty_strided(host.sizes(), host.strides(), host.options().device(pretend_device()));
  on_host(device).copy_(host);
  return device;
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool /*non_blocking*/) {
  auto target = is_on_pretend(to) ? on_host(to) : to;
  target.copy_(is_on_pretend(from) ? on_host(from) : from);
  return to;
}

// An operator that gave its result another size, as those do that fill an empty tensor.
void take_over(const at::Tensor& device, const at::Tensor& host) {
  if (device.sizes() == host.sizes()) return;
  const auto grown = copied_to_device(host);
  device.unsafeGetTensorImpl()->set_storage_keep_dtype(grown.storage());
  device.unsafeGetTensorImpl()->set_sizes_and_strides(grown.sizes(), grown.strides());
}

// Arguments of a call as the host sees them.
class HostView {
 public:
  explicit HostView(std::string op) : op_(std::move(op)) {}

  c10::IValue of(const c10::IValue& value) {
    if (value.isTensor()) return of(value.toTensor());
    if (value.isDevice()) return c10::Device(at::kCPU);
    if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorList()) list.push_back(of(tensor));
      return list;
    }
    if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorList()) {
        list.push_back(tensor ? std::optional(of(*tensor)) : tensor);
      }
      return list;
    }
    return value;
  }

 private:
  at::Tensor of(const at::Tensor& tensor) {
    if (is_on_pretend(tensor)) return on_host(tensor);
    // A number may come along from the host, as with CUDA.
    CHECK(!tensor.defined() || tensor.dim() == 0, op_, " mixes the device's tensors with one of the host, ",
          tensor.sizes());
    return tensor;
  }

  std::string op_;
};

c10::IValue result_on_device(const c10::IValue& result) {
  if (result.isTensor()) return copied_to_device(result.toTensor());
  if (!result.isTensorList()) return result;
  c10::List<at::Tensor> list;
  for (const at::Tensor& tensor : result.toTensorList()) list.push_back(copied_to_device(tensor));
  return list;
}

// The argument that `returned` is, for operators that write into one; else the number of arguments.
size_t written_argument(const c10::FunctionSchema& schema, const c10::Argument& returned) {
  const auto* alias = returned.alias_info();
  size_t index = 0;
  for (const auto& argument : schema.arguments()) {
    if (alias != nullptr && argument.alias_info() != nullptr && *argument.alias_info() == *alias)
      return index;
    ++index;
  }
  return index;
}

// Every operator without an entry of its own: by the CPU's kernel on the same memory.
void run_on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const size_t num_arguments = schema.arguments().size();
  const std::vector<c10::IValue> given(stack->end() - static_cast<int64_t>(num_arguments), stack->end());
  HostView view(schema.name());
  std::vector<c10::IValue> host;
  for (const auto& value : given) host.push_back(view.of(value));
  torch::jit::drop(stack, num_arguments);
  stack->insert(stack->end(), host.begin(), host.end());

  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);

  const size_t first_result = stack->size() - schema.returns().size();
  for (size_t i = 0; i < num_arguments; ++i) {
    if (given[i].isTensor() && is_on_pretend(given[i].toTensor()))
      take_over(given[i].toTensor(), host[i].toTensor());
  }
  for (size_t i = 0; i < schema.returns().size(); ++i) {
    auto& result = (*stack)[first_result + i];
    const auto* alias = schema.returns()[i].alias_info();
    CHECK(alias == nullptr || alias->isWrite(), schema.name(),
          " makes a view, which the pretended device lacks");
    const size_t written = written_argument(schema, schema.returns()[i]);
    result = written < num_arguments ? given[written] : result_on_device(result);
  }
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("view", &at::native::view);
  library.impl("as_strided", &at::native::as_strided_tensorimpl);
  library.impl("_reshape_alias", &at::native::_reshape_alias);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_host>());
}

}  // namespace

at::Device pretend_device() {
  return {kPretend, 0};
}

}  // namespace granule
