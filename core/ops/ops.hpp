// All differentiable ops; each lives in the file of its family.
#pragma once

#include "core/ops/attention.hpp"
#include "core/ops/cross_entropy.hpp"
#include "core/ops/dropout.hpp"
#include "core/ops/elementwise.hpp"
#include "core/ops/layer_norm.hpp"
#include "core/ops/linear.hpp"
#include "core/ops/rows.hpp"
