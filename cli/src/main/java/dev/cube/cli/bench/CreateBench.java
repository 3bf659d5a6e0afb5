package dev.cube.cli.bench;

import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.Sandbox;
import dev.cube.sdk.SandboxOptions;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Creation from a template: so many in all, so many at once. */
final class CreateBench {
    enum Mode {
        CREATE_DELETE, CREATE_ONLY;

        @Override
        public String toString() {
            return name().toLowerCase(java.util.Locale.ROOT).replace('_', '-');
        }
    }

    @Option(names = {"-c", "--concurrency"}, paramLabel = "C", defaultValue = "1",
            description = "sandboxes at a time (default: ${DEFAULT-VALUE})")
    private int concurrency;

    @Option(names = {"-n", "--number"}, paramLabel = "N", defaultValue = "20",
            description = "sandboxes in all (default: ${DEFAULT-VALUE})")
    private int number;

    @Option(names = {"-w", "--warmup"}, paramLabel = "W", defaultValue = "1",
            description = "rounds of C sandboxes first, which do not count (default: ${DEFAULT-VALUE})")
    private int warmup;

    @Option(names = {"-m", "--mode"}, paramLabel = "MODE", defaultValue = "create-delete",
            converter = ModeConverter.class,
            description = "create-delete, or create-only, which leaves them running (default: ${DEFAULT-VALUE})")
    private Mode mode;

    @Mixin
    private CommonOptions common;

    /** Milliseconds; {@code delete} is null where nothing was deleted. */
    private record Sample(double create, Double delete) {}

    int run() {
        common.require(concurrency >= 1, "--concurrency must be at least 1");
        common.require(number >= 1, "--number must be at least 1");
        common.require(warmup >= 0, "--warmup must not be negative");
        SandboxOptions options = common.sandbox();
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            if (warmup > 0) {
                try (Progress progress = common.progress("warm-up", warmup * concurrency)) {
                    Load.run(concurrency, warmup * concurrency, progress, () -> once(client, options, true));
                }
            }
            Load.Outcome<Sample> outcome;
            try (Progress progress = common.progress("created", number)) {
                outcome = Load.run(concurrency, number, progress,
                        () -> once(client, options, mode == Mode.CREATE_DELETE));
            }
            return report(outcome);
        }
    }

    private static Sample once(CubeClient client, SandboxOptions options, boolean delete) {
        long start = System.nanoTime();
        Sandbox sandbox = client.create(options);
        double created = Load.millisSince(start);
        if (!delete) {
            return new Sample(created, null);
        }
        long deleting = System.nanoTime();
        sandbox.kill();
        return new Sample(created, Load.millisSince(deleting));
    }

    private int report(Load.Outcome<Sample> outcome) {
        Statistics create = Statistics.of(outcome.results().stream().map(Sample::create).toList());
        Statistics delete =
                Statistics.of(outcome.results().stream().map(Sample::delete).filter(Objects::nonNull).toList());
        double wall = outcome.wallMillis();
        double per = wall / number;
        BenchTable table = new BenchTable("ms", "c", "n", "avg", "min", "P50", "P90", "P95", "P99", "max", "success",
                "wall", "per").row(row("create", create, outcome.successPercent(), wall, per));
        Map<String, Object> figures = new LinkedHashMap<>();
        figures.put("create", create);
        if (mode == Mode.CREATE_DELETE) {
            table.row(row("delete", delete, outcome.successPercent(), wall, per));
            figures.put("delete", delete);
        }
        figures.put("successPercent", outcome.successPercent());
        figures.put("wall", wall);
        figures.put("per", per);
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("concurrency", concurrency);
        parameters.put("number", number);
        parameters.put("warmup", warmup);
        parameters.put("mode", mode.toString());
        common.report(table, BenchReport.of("create", parameters, figures, outcome.failures()));
        outcome.failures().stream().findFirst().ifPresent(message -> common.note(
                "%d failed, the first with: %s".formatted(outcome.failures().size(), message)));
        if (mode == Mode.CREATE_ONLY) {
            common.note("%d sandboxes are left running; cubemastercli destroy --all ends every sandbox"
                    .formatted(outcome.results().size()));
        }
        return outcome.failures().isEmpty() ? 0 : 1;
    }

    private Object[] row(String name, Statistics s, double success, double wall, double per) {
        return new Object[] {name, concurrency, number, s.avg(), s.min(), s.p50(), s.p90(), s.p95(), s.p99(), s.max(),
            "%.0f%%".formatted(success), wall, per};
    }

    static final class ModeConverter implements picocli.CommandLine.ITypeConverter<Mode> {
        @Override
        public Mode convert(String value) {
            for (Mode mode : Mode.values()) {
                if (mode.toString().equals(value)) {
                    return mode;
                }
            }
            throw new picocli.CommandLine.TypeConversionException(
                    "'%s' is not a mode: it is create-delete or create-only".formatted(value));
        }
    }
}
