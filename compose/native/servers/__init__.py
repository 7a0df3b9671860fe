"""The servers, in the order in which they are told of."""

from servers.consul import Consul
from servers.elasticsearch import Elasticsearch
from servers.kafka import Kafka
from servers.minio import MinIO
from servers.postgresql import PostgreSQL
from servers.rabbitmq import RabbitMQ
from servers.server import Server

ALL: tuple[type[Server], ...] = (PostgreSQL, RabbitMQ, Kafka, MinIO, Consul, Elasticsearch)
