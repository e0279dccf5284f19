// A router: from hidden states to the rows of every expert, in two launches for few tokens and in three for many.
// archs: sm_80 sm_86 sm_89 sm_90 sm_90a sm_100 sm_120
//
//     tokens        1 to 128                          more
//     launch 1      logits: a few experts a block     logits: tiles of tokens
//            2      one block selects and sorts       blocks select, and count the slots of each expert in the workspace
//            3                                        blocks sort: each adds up the counts of those before it
//
// A launch sees all that the one before has stored, so blocks never wait for each other.
#pragma once

#include "kernels/router_few_logits.cuh"
#include "kernels/router_logits.cuh"
#include "kernels/router_order.cuh"
#include "kernels/router_select.cuh"

namespace moe_tune {

template <class Problem>
class Router {
  using Order = RouterOrder<Problem>;
  static constexpr int top_k = Problem::top_k;
  static constexpr int L = Problem::local_experts;
  static constexpr int warps = abi::router_threads / 32;

 public:
  static constexpr int shared_bytes = Order::shared_bytes;

  /// Of up to router_chunk_tokens tokens, by one block.
  static MOE_DEVICE void select_and_sort(const abi::RouterArgs& args) {
    const int there = count_tokens(args.token_count, args.tokens, args.status);
    const Order order(args);
    const int slots = args.tokens * top_k;
    select_chunk(args, order, 0, args.tokens, there);
    ptx::block_barrier();
    order.share_count(order.count(slots));
    ptx::block_barrier();
    order.find_starts(0, Order::group() == 0 ? order.template sum_counts<false>() : 0);
    order.place(0, slots);
    report(args, there);
  }

  static MOE_DEVICE void select(const abi::RouterArgs& args) {
    const int there = count_tokens(args.token_count, args.tokens, args.status);
    const Order order(args);
    int count = 0;
    for_each_chunk(args, [&](int token, int end) {
      select_chunk(args, order, token, end, there);
      ptx::block_barrier();
      count += order.count((end - token) * top_k);
      ptx::block_barrier();
    });
    order.share_count(count);
    ptx::block_barrier();
    if (Order::group() == 0 && Order::expert() < L) {
      ptx::store(args.histograms + static_cast<i64>(ptx::block_index()) * L + Order::expert(),
                 order.template sum_counts<false>());
    }
  }

  static MOE_DEVICE void sort(const abi::RouterArgs& args) {
    const int there = count_tokens(args.token_count, args.tokens, args.status);
    const Order order(args);
    add_blocks(args, order);
    report(args, there);
    for_each_chunk(args, [&](int token, int end) {
      const int slots = (end - token) * top_k;
      for (int slot = static_cast<int>(ptx::thread_index()); slot < slots; slot += abi::router_threads) {
        order.put(slot, token + slot / top_k < there ? local_expert(args, token * top_k + slot) : -1);
      }
      ptx::block_barrier();
      order.share_count(order.count(slots));
      ptx::block_barrier();
      order.place(token * top_k, slots);
      ptx::block_barrier();
      order.advance_starts(order.template sum_counts<false>());
      ptx::block_barrier();
    });
  }

 private:
  /// Calls work(first, end) for the tokens of this block, as many at a time as shared memory holds.
  template <class Work>
  static MOE_DEVICE void for_each_chunk(const abi::RouterArgs& args, const Work& work) {
    const int blocks = static_cast<int>(ptx::grid_size());
    const i64 per_block = (args.tokens + blocks - 1) / blocks;
    const i64 begin = static_cast<i64>(ptx::block_index()) * per_block;
    const i64 end = begin + per_block < args.tokens ? begin + per_block : args.tokens;
    MOE_NO_UNROLL
    for (i64 token = begin; token < end; token += abi::router_chunk_tokens) {
      const i64 last = token + abi::router_chunk_tokens < end ? token + abi::router_chunk_tokens : end;
      work(static_cast<int>(token), static_cast<int>(last));
    }
  }

  static MOE_DEVICE void select_chunk(const abi::RouterArgs& args, const Order& order, int first, int end, int there) {
    const int lane = static_cast<int>(ptx::lane_index());
    MOE_NO_UNROLL
    for (int token = first + static_cast<int>(ptx::thread_index()) / 32; token < end; token += warps) {
      const int expert = token < there ? RouterSelect<Problem>::run(args, token) : -1;
      if (lane < top_k) order.put((token - first) * top_k + lane, expert);
    }
  }

  /// That of a slot of the call; -1 where it is another process's or a bad one.
  static MOE_DEVICE int local_expert(const abi::RouterArgs& args, int slot) {
    const int local = ptx::load_constant(args.selected_experts + slot) - Problem::first_expert;
    return local >= 0 && local < L ? local : -1;
  }

  /// Adds up the counts of the blocks before this one, and of all. The groups share the blocks, and have many loads on their way.
  static MOE_DEVICE void add_blocks(const abi::RouterArgs& args, const Order& order) {
    constexpr int in_flight = 16;
    const int blocks = static_cast<int>(ptx::grid_size());
    int before = 0;
    int total = 0;
    MOE_NO_UNROLL
    for (int first = Order::group(); first < blocks && Order::expert() < L; first += Order::group_count * in_flight) {
      int counts[in_flight];
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        const int block = first + i * Order::group_count;
        counts[i] = block < blocks ? ptx::load_constant(args.histograms + static_cast<i64>(block) * L + Order::expert()) : 0;
      }
      MOE_UNROLL
      for (int i = 0; i < in_flight; ++i) {
        total += counts[i];
        if (first + i * Order::group_count < static_cast<int>(ptx::block_index())) before += counts[i];
      }
    }
    order.share_count(before);
    ptx::block_barrier();
    const int all_before = order.template sum_counts<false>();
    ptx::block_barrier();
    order.share_count(total);
    ptx::block_barrier();
    order.find_starts(all_before, order.template sum_counts<false>());
  }

  static MOE_DEVICE void report(const abi::RouterArgs& args, int there) {
    if (args.routed_tokens == nullptr || ptx::block_index() != 0 || ptx::thread_index() != 0) return;
    ptx::store(args.routed_tokens, there);
  }
};

}  // namespace moe_tune
