"""The peers' race: awaitbatch beside what people use today to await AWS Batch jobs."""
