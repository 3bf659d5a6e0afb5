package dev.cube.hypervisor;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/** Measures the host's time stamp counter, with the memory library's help: Java cannot read it. */
final class TscFrequency {
    /** Long enough for an error of about one in a million. */
    private static final long MILLIS = 100;

    private TscFrequency() {}

    static long measureKhz(Path memoryLibrary) {
        try (Arena arena = Arena.ofConfined()) {
            MethodHandle measure = Linker.nativeLinker().downcallHandle(
                    SymbolLookup.libraryLookup(memoryLibrary, arena).findOrThrow("cubemem_measure_tsc_khz"),
                    FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
            long khz = (long) measure.invokeExact(MILLIS);
            if (khz <= 0) {
                throw new HypervisorException("the host's time stamp counter does not count");
            }
            return khz;
        } catch (HypervisorException e) {
            throw e;
        } catch (Throwable e) {
            throw new HypervisorException("cannot use the memory library " + memoryLibrary + ": " + e.getMessage(), e);
        }
    }
}
