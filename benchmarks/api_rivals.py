"""The benchmark's four endpoints as plain ModelViewSets, beside the product's own addresses."""

from decimal import Decimal
from typing import Any

from django.urls import URLPattern, URLResolver, path
from rest_framework import serializers, viewsets

from marketdata.models import LastPrice
from mockmarket.urls import urlpatterns as product
from portfolios.models import Portfolio, Position
from trading.models import Order


class PlainQuote(serializers.ModelSerializer[LastPrice]):
    class Meta:
        model = LastPrice
        fields = "__all__"


class PlainPosition(serializers.ModelSerializer[Position]):
    class Meta:
        model = Position
        fields = "__all__"
        depth = 1


class PlainPortfolio(serializers.ModelSerializer[Portfolio]):
    positions = PlainPosition(many=True)
    equity = serializers.SerializerMethodField()

    class Meta:
        model = Portfolio
        fields = "__all__"

    def get_equity(self, row: Portfolio) -> Decimal:
        held = row.positions.select_related("instrument__lastprice")
        cash: Decimal = row.cash
        return cash + sum(
            (p.quantity * p.instrument.lastprice.last_price for p in held), Decimal(0)
        )


class PlainRow(PlainPortfolio):
    positions = None  # type: ignore[assignment]

    class Meta:
        model = Portfolio
        fields = ("id", "user", "equity")


class PlainOrder(serializers.ModelSerializer[Order]):
    class Meta:
        model = Order
        fields = "__all__"


class PlainQuotes(viewsets.ModelViewSet[LastPrice]):
    serializer_class = PlainQuote

    def get_queryset(self) -> Any:
        keys = self.request.query_params["instruments"].split(",")
        return LastPrice.objects.filter(instrument__key__in=keys)


class PlainPortfolios(viewsets.ModelViewSet[Portfolio]):
    serializer_class = PlainPortfolio

    def get_queryset(self) -> Any:
        assert self.request.user.pk is not None, "the viewset asks for a signed-in user"
        return Portfolio.objects.filter(user_id=self.request.user.pk)


class PlainBoard(viewsets.ModelViewSet[Portfolio]):
    """As such boards are mostly written: everybody serialised, then sorted."""

    serializer_class = PlainRow
    queryset = Portfolio.objects.all()


class PlainOrders(viewsets.ModelViewSet[Order]):
    serializer_class = PlainOrder
    queryset = Order.objects.all()


urlpatterns: list[URLPattern | URLResolver] = [
    path("plain/quotes/", PlainQuotes.as_view({"get": "list"})),
    path("plain/portfolio/", PlainPortfolios.as_view({"get": "list"})),
    path("plain/leaderboard/", PlainBoard.as_view({"get": "list"})),
    path("plain/place_order/", PlainOrders.as_view({"post": "create"})),
    *product,
]
