package dev.cube.cli.bench;

import dev.cube.sdk.CommandOptions;
import dev.cube.sdk.CommandResult;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.Sandbox;

/** Makes a guest's memory dirty, as the reference's benchmarks do: with a file in {@code /dev/shm}. */
final class GuestMemory {
    /**
     * Coreutils only, so that it works in any image. A tmpfs takes half of the memory unless told otherwise. What is
     * written is not zeros, nor the same from round to round, but the same MiB over and over: random bytes are too slow
     * to make.
     */
    private static final String FILL = """
            mount -o remount,size=100%% /dev/shm && cd /dev/shm &&
            head -c 1M /dev/urandom >cube-bench-mib && cat $(yes cube-bench-mib | head -n %1$d) >cube-bench &&
            rm cube-bench-mib && [ "$(stat -c %%s cube-bench)" = $((%1$d << 20)) ]""";

    private GuestMemory() {}

    static void write(Sandbox sandbox, int mebibytes) {
        if (mebibytes == 0) {
            return;
        }
        CommandResult result = sandbox.commands().run(FILL.formatted(mebibytes),
                CommandOptions.DEFAULT.withUser("root"));
        if (result.exitCode() != 0) {
            throw new CubeException("cannot write %d MB to /dev/shm in the sandbox: %s".formatted(mebibytes,
                    result.stderr().strip()));
        }
    }
}
