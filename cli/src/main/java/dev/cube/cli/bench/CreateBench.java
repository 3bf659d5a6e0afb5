package dev.cube.cli.bench;

import dev.cube.sdk.Sandbox;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** Creation from a template: so many in all, so many at once. */
final class CreateBench extends Benchmark {
    enum Mode {
        CREATE_DELETE, CREATE_ONLY;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    @Mixin
    private final ConcurrencyOption concurrency = new ConcurrencyOption(1);

    @Mixin
    private final NumberOption number = new NumberOption(20);

    @Option(names = {"-w", "--warmup"}, paramLabel = "W", defaultValue = "1", converter = Count.FromZero.class,
            description = "rounds of C sandboxes first, which do not count (default: ${DEFAULT-VALUE})")
    private int warmup;

    @Option(names = {"-m", "--mode"}, paramLabel = "MODE", defaultValue = "create-delete",
            converter = ModeConverter.class,
            description = "create-delete, or create-only, which leaves them running (default: ${DEFAULT-VALUE})")
    private Mode mode;

    /** Milliseconds; {@code delete} is null where nothing was deleted. */
    private record Sample(double create, Double delete) {}

    @Override
    Measured measure(Target target) {
        int c = concurrency.value();
        try (Progress progress = target.progress("warm-up", warmup * c)) {
            Load.run(c, warmup * c, progress, () -> once(target, true));
        }
        double busyBefore = MachineCpu.busyMillis();
        Load.Outcome<Sample> outcome;
        try (Progress progress = target.progress("created", number.value())) {
            outcome = Load.run(c, number.value(), progress, () -> once(target, mode == Mode.CREATE_DELETE));
        }
        return report(outcome, (MachineCpu.busyMillis() - busyBefore) / number.value());
    }

    private static Sample once(Target target, boolean delete) {
        long start = System.nanoTime();
        Sandbox sandbox = target.client().create(target.options());
        double created = Load.millisSince(start);
        if (!delete) {
            return new Sample(created, null);
        }
        long deleting = System.nanoTime();
        sandbox.kill();
        return new Sample(created, Load.millisSince(deleting));
    }

    private Measured report(Load.Outcome<Sample> outcome, double cpu) {
        Statistics create = Statistics.of(outcome.results().stream().map(Sample::create).toList());
        double wall = outcome.wallMillis();
        double per = wall / number.value();
        Map<String, Object> figures = new LinkedHashMap<>();
        figures.put("create", create);
        BenchTable table = new BenchTable("ms", "c", "n", "avg", "min", "P50", "P90", "P95", "P99", "max", "success",
                "wall", "per", "cpu").row(row("create", create, outcome.successPercent(), wall, per, cpu));
        if (mode == Mode.CREATE_DELETE) {
            Statistics delete =
                    Statistics.of(outcome.results().stream().map(Sample::delete).filter(Objects::nonNull).toList());
            figures.put("delete", delete);
            table.row(row("delete", delete, outcome.successPercent(), wall, per, cpu));
        }
        figures.put("createDividedByConcurrency", create.avg() / concurrency.value());
        figures.put("successPercent", outcome.successPercent());
        figures.put("wall", wall);
        figures.put("per", per);
        figures.put("machineCpuPer", cpu);
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("concurrency", concurrency.value());
        parameters.put("number", number.value());
        parameters.put("warmup", warmup);
        parameters.put("mode", mode.toString());
        Measured measured = Measured.of(table, BenchReport.of("create", parameters, figures, outcome.failures()));
        return mode == Mode.CREATE_DELETE ? measured : measured.withNote(
                "%d sandboxes are left running; cubemastercli destroy --all ends every sandbox"
                        .formatted(outcome.results().size()));
    }

    private Object[] row(String name, Statistics s, double success, double wall, double per, double cpu) {
        return new Object[] {name, concurrency.value(), number.value(), s.avg(), s.min(), s.p50(), s.p90(), s.p95(),
            s.p99(), s.max(), "%.0f%%".formatted(success), wall, per, cpu};
    }

    static final class ModeConverter implements ITypeConverter<Mode> {
        @Override
        public Mode convert(String value) {
            return List.of(Mode.values()).stream().filter(mode -> mode.toString().equals(value)).findFirst()
                    .orElseThrow(() -> new TypeConversionException(
                            "'%s' is not a mode: it is create-delete or create-only".formatted(value)));
        }
    }
}
