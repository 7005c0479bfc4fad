# The command in an image: `docker build --tag mergan .`, then
# `docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/runs" mergan demo`. With NVIDIA's container toolkit, `--gpus all` brings the driver, which
# is all that the kernels need, because they are in the program.
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package mergan-cli

FROM debian:bookworm-slim
COPY --from=build /source/target/release/mergan /usr/local/bin/mergan
COPY --from=build /source/LICENSE-MIT /source/LICENSE-APACHE /usr/share/doc/mergan/
# What asks NVIDIA's container toolkit for the driver.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility NVIDIA_VISIBLE_DEVICES=all
# Downloads and scoring classifiers are kept beside the runs.
ENV MERGAN_DATA=/runs/mergan-data
WORKDIR /runs
ENTRYPOINT ["mergan"]
