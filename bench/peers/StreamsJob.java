// The job on Kafka Streams, as a processor with two state stores: KAFKA TOPIC RESULTS DIRECTORY.
// Runs until it is ended. README.md says what is counted and why the settings are these.

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

public class StreamsJob {
    static final long WINDOW_MS = 30 * 60_000;
    static final int REMEMBERED = 4;
    static final List<String> STAGES = List.of("click", "lead", "payment");

    @JsonIgnoreProperties(ignoreUnknown = true)
    public static class Event {
        public String id;
        public String name;
        public long occurred_at_ms;
        public EventProperties properties;
    }

    @JsonIgnoreProperties(ignoreUnknown = true)
    public static class EventProperties {
        public String channel;
    }

    /** What is known of a person: the journey under way, and the ids of the last events. */
    record Person(long began, int stage, String channel, List<String> ids) {
        static final Person UNKNOWN = new Person(0, -1, "", List.of());

        Person with(String id) {
            List<String> last = ids.subList(Math.max(0, ids.size() - REMEMBERED + 1), ids.size());
            String[] kept = last.toArray(new String[last.size() + 1]);
            kept[last.size()] = id;
            return new Person(began, stage, channel, List.of(kept));
        }
    }

    record Counts(long events, long entries, long advanced) {
        static final Counts NONE = new Counts(0, 0, 0);
    }

    static class Journeys implements Processor<String, byte[], String, String> {
        private final ObjectReader reader = JsonMapper.builder().build().readerFor(Event.class);
        private final Set<String> changed = new HashSet<>();
        private ProcessorContext<String, String> context;
        private KeyValueStore<String, Person> people;
        private KeyValueStore<String, Counts> cells;

        @Override
        public void init(ProcessorContext<String, String> context) {
            this.context = context;
            people = context.getStateStore("people");
            cells = context.getStateStore("cells");
            context.schedule(Duration.ofSeconds(1), PunctuationType.WALL_CLOCK_TIME, now -> tell(now));
        }

        @Override
        public void process(Record<String, byte[]> message) {
            Event event = parsed(message.value());
            Person person = people.get(message.key());
            if (person == null) person = Person.UNKNOWN;
            if (person.ids().contains(event.id)) return;
            person = person.with(event.id);
            int stage = STAGES.indexOf(event.name);
            add(stage, event.properties.channel, 1, 0, 0);
            if (person.stage() < 0 || event.occurred_at_ms > person.began() + WINDOW_MS) {
                person = new Person(event.occurred_at_ms, stage, event.properties.channel, person.ids());
                add(stage, person.channel(), 0, 1, 0);
            } else if (stage > person.stage()) {
                add(person.stage(), person.channel(), 0, 0, 1);
                add(stage, person.channel(), 0, 1, 0);
                person = new Person(person.began(), stage, person.channel(), person.ids());
            }
            people.put(message.key(), person);
        }

        private Event parsed(byte[] value) {
            try {
                return reader.readValue(value);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }

        /** Counts of this task's partition: no repartition topic is needed, the reader adds partitions up. */
        private void add(int stage, String channel, int events, int entries, int advanced) {
            String cell = context.taskId().partition() + "|" + STAGES.get(stage) + "|" + channel;
            Counts before = cells.get(cell);
            if (before == null) before = Counts.NONE;
            cells.put(cell, new Counts(
                    before.events() + events, before.entries() + entries, before.advanced() + advanced));
            changed.add(cell);
        }

        private void tell(long now) {
            for (String cell : changed) {
                Counts counts = cells.get(cell);
                String text = "[" + counts.events() + "," + counts.entries() + "," + counts.advanced() + "]";
                context.forward(new Record<>(cell, text, now));
            }
            changed.clear();
        }
    }

    interface Write<T> {
        void to(DataOutputStream out, T value) throws IOException;
    }

    interface Read<T> {
        T from(DataInputStream in) throws IOException;
    }

    static <T> Serde<T> binary(Write<T> write, Read<T> read) {
        return Serdes.serdeFrom((topic, value) -> {
            if (value == null) return null;
            ByteArrayOutputStream bytes = new ByteArrayOutputStream(160);
            try {
                write.to(new DataOutputStream(bytes), value);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
            return bytes.toByteArray();
        }, (topic, bytes) -> {
            if (bytes == null) return null;
            try {
                return read.from(new DataInputStream(new ByteArrayInputStream(bytes)));
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        });
    }

    static final Serde<Person> PERSON = binary((out, person) -> {
        out.writeLong(person.began());
        out.writeByte(person.stage());
        out.writeUTF(person.channel());
        out.writeByte(person.ids().size());
        for (String id : person.ids()) out.writeUTF(id);
    }, in -> {
        long began = in.readLong();
        int stage = in.readByte();
        String channel = in.readUTF();
        String[] ids = new String[in.readByte()];
        for (int i = 0; i < ids.length; i++) ids[i] = in.readUTF();
        return new Person(began, stage, channel, List.of(ids));
    });

    static final Serde<Counts> COUNTS = binary((out, counts) -> {
        out.writeLong(counts.events());
        out.writeLong(counts.entries());
        out.writeLong(counts.advanced());
    }, in -> new Counts(in.readLong(), in.readLong(), in.readLong()));

    public static void main(String[] arguments) {
        String kafka = arguments[0], topic = arguments[1], results = arguments[2], directory = arguments[3];
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, results + "-streams");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, kafka);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, directory);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L * 1024 * 1024);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5_000);
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(Stores.keyValueStoreBuilder(
                        Stores.persistentKeyValueStore("people"), Serdes.String(), PERSON)
                .withCachingEnabled());
        builder.addStateStore(Stores.keyValueStoreBuilder(
                        Stores.persistentKeyValueStore("cells"), Serdes.String(), COUNTS)
                .withCachingEnabled());
        builder.stream(topic, Consumed.with(Serdes.String(), Serdes.ByteArray()))
                .process(Journeys::new, "people", "cells")
                .to(results, Produced.with(Serdes.String(), Serdes.String()));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
        });
        streams.start();
    }
}
