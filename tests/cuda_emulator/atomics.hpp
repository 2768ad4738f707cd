// CUDA's atomic functions; each returns what was there before.
#pragma once

int atomicAdd(int* p, int value);
unsigned atomicAdd(unsigned* p, unsigned value);
unsigned long long atomicAdd(unsigned long long* p, unsigned long long value);
float atomicAdd(float* p, float value);
double atomicAdd(double* p, double value);
int atomicSub(int* p, int value);
unsigned atomicSub(unsigned* p, unsigned value);
int atomicMax(int* p, int value);
unsigned atomicMax(unsigned* p, unsigned value);
unsigned long long atomicMax(unsigned long long* p, unsigned long long value);
int atomicMin(int* p, int value);
unsigned atomicMin(unsigned* p, unsigned value);
unsigned long long atomicMin(unsigned long long* p, unsigned long long value);
int atomicOr(int* p, int value);
unsigned atomicOr(unsigned* p, unsigned value);
int atomicAnd(int* p, int value);
unsigned atomicAnd(unsigned* p, unsigned value);
int atomicExch(int* p, int value);
unsigned atomicExch(unsigned* p, unsigned value);
float atomicExch(float* p, float value);
int atomicCAS(int* p, int expected, int value);
unsigned atomicCAS(unsigned* p, unsigned expected, unsigned value);
unsigned long long atomicCAS(unsigned long long* p, unsigned long long expected,
                             unsigned long long value);
// Wraps to zero past `limit`.
unsigned atomicInc(unsigned* p, unsigned limit);
